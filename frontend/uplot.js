// uPlot as a module.
export { default } from "uplot";
