// A variable of a text, and its name: the definition that prompts/rendering.py has.
export const VARIABLE = /\{\{\p{White_Space}*([^\x00-,/:-@[-^`{-\x7f\p{White_Space}]{1,128})\p{White_Space}*\}\}/gu;
