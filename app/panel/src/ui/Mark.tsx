/** The shield of the name. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path
        className="mark-shield"
        d="M16 2 4 6.5v9C4 23 9.2 28.3 16 30c6.8-1.7 12-7 12-14.5v-9z"
      />
      <path className="mark-check" d="m10.5 16.2 4 4 7.3-8" />
    </svg>
  );
}
