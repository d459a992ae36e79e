// The worklist: live rows, keys, and joining studies.

import { armJoin } from "../worklist/join";
import { armKeys } from "../worklist/keys";
import { armLive } from "../worklist/live";

armKeys();
armJoin();
armLive();
