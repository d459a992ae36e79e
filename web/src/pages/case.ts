// The page of a case.

import { armAdd } from "../case/add";
import { armAlike } from "../case/alike";
import { armPredict, followJob } from "../case/job";
import { armReview } from "../case/review";
import { armSlider } from "../case/slider";
import { armQuestion, armSummary } from "../case/words";
import { mount } from "../viewer/index";

mount(document);
followJob();
armPredict();
armSlider();
armReview();
armAlike();
armSummary();
armQuestion();
armAdd();
