// A text field that offers what is found for it (WAI-ARIA: combobox with a listbox), by mouse and by keyboard.
export function combobox(input, list, { find, choose }) {
  let found = [];
  let active = -1;
  let waiting = 0;
  let asked = 0;

  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const mark = (number) => {
    active = number;
    [...list.children].forEach((option, place) => option.setAttribute("aria-selected", String(place === number)));
    const option = list.children[number];
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    }
  };

  const take = (number) => {
    if (!found[number]) return;
    clearTimeout(waiting);
    asked += 1; // what is on its way is wanted no more
    close();
    choose(found[number]);
  };

  const look = async () => {
    const mine = ++asked;
    const answer = await find(input.value.trim());
    if (mine !== asked || document.activeElement !== input) return;
    found = answer;
    list.replaceChildren(
      ...found.map(({ title, facts }, number) => {
        const option = document.createElement("li");
        option.id = `${list.id}-${number}`;
        option.role = "option";
        const strong = document.createElement("strong");
        strong.textContent = title;
        const span = document.createElement("span");
        span.textContent = facts;
        option.append(strong, " ", span);
        option.addEventListener("pointerdown", (event) => {
          event.preventDefault(); // the field keeps the focus
          take(number);
        });
        return option;
      }),
    );
    if (!found.length) {
      const none = document.createElement("li");
      none.role = "option";
      none.setAttribute("aria-disabled", "true");
      none.textContent = "Nothing is found.";
      list.append(none);
    }
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(-1);
  };

  input.addEventListener("input", () => {
    clearTimeout(waiting);
    asked += 1;
    close(); // what is in it, or on its way, was found for something else
    waiting = setTimeout(look, 150);
  });
  input.addEventListener("focus", look);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") close();
    else if ((event.key === "ArrowDown" || event.key === "Enter") && list.hidden) look();
    else if (event.key === "ArrowDown") mark(Math.min(active + 1, found.length - 1));
    else if (event.key === "ArrowUp") mark(Math.max(active - 1, 0));
    else if (event.key === "Enter") take(active < 0 ? 0 : active);
    else return;
    if (event.key !== "Escape") event.preventDefault();
  });
}
