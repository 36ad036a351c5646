// Set the colours before anything is drawn; "auto" is what the system has.
try {
  const chosen = localStorage.getItem("scriptflow-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // storage is off: the system's colours stay
}
