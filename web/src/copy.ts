// Copying a field's text by a button, with words for what came of it.

import { say } from "./forms";
import { text } from "./send";

export async function copyFrom(field: HTMLInputElement, place: ParentNode): Promise<void> {
  try {
    await navigator.clipboard.writeText(field.value);
    say(place, text("Copied."), "good");
  } catch {
    field.focus();
    field.select();
    say(place, text("It could not be copied; select it and copy it by hand."), "bad");
  }
}
