// Conveniences; every page works without them.
"use strict";

// Buttons that copy what stands beside them; without script they are not shown.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const text = "value" in source ? source.value : source.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // pages over plain HTTP have no clipboard; select the text instead
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      source.select?.();
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

// A form is sent once, however often its button is pressed; the second answer would be the one
// that is shown: of a key that has another password, or of a name that is taken now.
let sent = null;
const forget = () => { sent = null; };
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form === sent) {
    event.preventDefault();
    return;
  }
  sent = form;
  setTimeout(forget, 5000);
});
window.addEventListener("pageshow", forget);

// After a form that did not work, what is wrong is read out first.
document.getElementById("wrong")?.focus();
