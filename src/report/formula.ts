import temml from "temml";
import { escapeHtml, type Html, trusted } from "./html.js";

/** A formula in TeX as MathML, which browsers set without fonts or scripts of ours; the text itself where it is no TeX. */
export function formula(tex: string): Html {
  try {
    return trusted(temml.renderToString(tex, { displayMode: true, throwOnError: true, trust: false }));
  } catch {
    return trusted(`<code>${escapeHtml(tex)}</code>`);
  }
}
