/** A text without accents and capitals, as it is compared with what somebody types. */
export function plain(text: string): string {
  return text.normalize("NFD").replaceAll(/\p{M}/gu, "").toLowerCase();
}
