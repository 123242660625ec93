/** The environment variables that processes of scripts get: those to find programs and to format text, and no secrets. */

const PASSED_VARIABLES = /^(?:PATH|HOME|USER|LOGNAME|SHELL|TZ|TMPDIR|LANG|LC_[A-Z]+)$/;

export function processEnvironment(): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && PASSED_VARIABLES.test(name)) variables[name] = value;
  }
  return variables;
}
