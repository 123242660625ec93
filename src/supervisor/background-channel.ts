/** The channel on which the background process (`-D`) tells the process that started it how the start went. */

/** The environment variable of the background process, which removes it at once. */
export const MARK: string = 'LGATEWAY_BACKGROUND';

/** What the background process tells the one that started it, once. */
export type Report =
  /** It serves; the text is for the terminal. */
  { readonly ready: true; readonly text: string } | { readonly ready: false; readonly message: string };

/** The background process's side. */
export interface BackgroundChannel {
  /** Lets the first process end with success. */
  ready(text: string): void;
  /** Lets it end with failure; resolves when the message is on its way. */
  failed(message: string): Promise<void>;
}

/** Undefined when this process was not started by `startInBackground`. */
export function backgroundChannel(): BackgroundChannel | undefined {
  const marked = process.env[MARK] !== undefined;
  delete process.env[MARK];
  if (!marked || process.send === undefined) return undefined;
  // the first process may be killed while it waits, which must not end this process
  process.on('error', () => undefined);
  const send = (report: Report): Promise<void> =>
    new Promise((resolve) => {
      if (!process.connected || process.send === undefined) resolve();
      else
        process.send(report, undefined, undefined, () => {
          if (process.connected) process.disconnect();
          resolve();
        });
    });
  return {
    ready: (text) => void send({ ready: true, text }),
    failed: (message) => send({ ready: false, message }),
  };
}
