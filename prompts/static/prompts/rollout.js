// A slider beside the weight's field, for who would rather pull than type.
const weight = document.getElementById("id_weight_a");

if (weight) {
  const slider = document.createElement("input");
  const said = document.createElement("output");
  slider.type = "range";
  slider.min = "0";
  slider.max = "100";
  slider.step = "1";
  slider.setAttribute("aria-label", "Weight of A, as a slider");
  const tell = () => {
    const share = Number(weight.value || 0);
    slider.value = String(share);
    said.textContent = `${share} % A, ${Math.round((100 - share) * 1000) / 1000} % B`;
  };
  slider.addEventListener("input", () => {
    weight.value = slider.value;
    tell();
  });
  weight.addEventListener("input", tell);
  if (weight.value === "") weight.value = "50";
  weight.after(slider, said);
  tell();
}
