// A variable of a text, and its name: the rule of prompts/content/rendering.py, tried with the same vectors
// (tests/contract/rendering.json).
export const VARIABLE = /\{\{\p{White_Space}*([^\x00-,/:-@[-^`{-\x7f\p{White_Space}]{1,128})\p{White_Space}*\}\}/gu;
