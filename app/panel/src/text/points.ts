/** «cada 30 minutos», «cada hora», «cada 2 horas». */
export function everyMinutes(minutes: number): string {
  if (minutes % 60 !== 0) {
    return `cada ${minutes} minutos`;
  }
  return minutes === 60 ? "cada hora" : `cada ${minutes / 60} horas`;
}

/** «de 7:00 a 22:00», of `07:00-22:00`. */
export function hours(horario: string): string {
  const [from = "", to = ""] = horario.split("-");
  return from === "00:00" && to === "24:00" ? "todo el día" : `de ${onClock(from)} a ${onClock(to)}`;
}

/** «7:00», of `07:00`. */
export function onClock(time: string): string {
  return time.replace(/^0(?=\d)/, "");
}
