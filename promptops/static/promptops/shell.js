// The frame of every page: on a small screen the navigation is behind a button.
const button = document.getElementById("menu-button");
const menu = document.getElementById("menu");

if (button && menu) {
  document.documentElement.classList.add("with-scripts");
  const show = (open) => {
    button.setAttribute("aria-expanded", String(open));
    menu.classList.toggle("open", open);
  };
  button.addEventListener("click", () => show(button.getAttribute("aria-expanded") !== "true"));
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.classList.contains("open")) {
      show(false);
      button.focus();
    }
  });
}
