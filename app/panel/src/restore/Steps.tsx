/** What there is to be done, one thing after another, and which of them it is now. */
export function Steps({ names, place }: { names: readonly string[]; place: number }) {
  return (
    <ol className="steps">
      {names.map((name, each) => (
        <li key={name} aria-current={each === place ? "step" : undefined} className={each < place ? "past" : undefined}>
          <span>{name}</span>
        </li>
      ))}
    </ol>
  );
}
