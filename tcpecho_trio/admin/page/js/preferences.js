// What this browser remembers: the language and the theme. A browser may refuse to.

export function remembered(name) {
  try {
    return localStorage.getItem(`tcpecho.${name}`);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`tcpecho.${name}`, value);
  } catch {
    // Then it holds until the page is left.
  }
}
