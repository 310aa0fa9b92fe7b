// Money, dates and words for people, in the browser's language where it has one.

const MINOR_DIGITS = { BHD: 3, JOD: 3, JPY: 0, KRW: 0, KWD: 3, OMR: 3, TND: 3 };
const LANGUAGE = navigator.language || "en";

const moneyFormats = new Map();

export function minorDigits(currency) {
  return MINOR_DIGITS[currency] ?? 2;
}

export function money(amountMinor, currency) {
  const digits = minorDigits(currency);
  let format = moneyFormats.get(currency);
  if (!format) {
    format = new Intl.NumberFormat(LANGUAGE, { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits });
    moneyFormats.set(currency, format);
  }
  return format.format(amountMinor / 10 ** digits);
}

/** "12.5" typed by a person -> 1250, by digits and not by float; NaN when it is no price. */
export function parseMoney(text, currency) {
  const digits = minorDigits(currency);
  const match = /^(\d{1,9})(?:[.,](\d*))?$/.exec(text.trim());
  if (!match || (match[2] ?? "").length > digits) return NaN;
  return Number(match[1]) * 10 ** digits + Number((match[2] ?? "").padEnd(digits, "0") || 0);
}

const clock = new Intl.DateTimeFormat(LANGUAGE, { hour: "numeric", minute: "2-digit" });
const dayMonth = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short" });
const dayMonthYear = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short", year: "numeric" });
const weekday = new Intl.DateTimeFormat(LANGUAGE, { weekday: "long" });

const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

export function time(at) {
  return clock.format(new Date(at));
}

export function day(at) {
  const date = new Date(at);
  const days = Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days > 1 && days < 7) return weekday.format(date);
  return (date.getFullYear() === new Date().getFullYear() ? dayMonth : dayMonthYear).format(date);
}

/** For lists: the time today, the day before that. */
export function when(at) {
  return day(at) === "Today" ? time(at) : day(at);
}

export function dayAndTime(at) {
  return `${day(at)}, ${time(at)}`;
}

/** Time left as "12:05", "3 h 20 min" or "13 days"; empty once it is over. */
export function left(until) {
  const seconds = Math.floor((new Date(until).getTime() - Date.now()) / 1000);
  if (seconds <= 0) return "";
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  const days = Math.floor(seconds / 86_400);
  return `${days} ${days === 1 ? "day" : "days"}`;
}

export function options(values) {
  return Object.values(values ?? {}).join(" · ");
}

export function countryName(code) {
  try {
    return new Intl.DisplayNames([LANGUAGE], { type: "region" }).of(code);
  } catch {
    return code;
  }
}
