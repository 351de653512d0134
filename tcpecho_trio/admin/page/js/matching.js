// Which clients a filter means.

/** Whether a client, or an event about one, matches: by a part of an address, or by its number. */
export function matches(fields, filter) {
  const wanted = filter.toLowerCase();
  if (String(fields.connection ?? fields.number) === wanted) return true;
  return [fields.client, fields.peer, fields.listener, fields.server].some((text) =>
    String(text ?? "")
      .toLowerCase()
      .includes(wanted),
  );
}
