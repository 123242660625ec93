/** What a subcommand has to say. */
export interface Outcome {
  /** For standard output, with its last line end. */
  readonly output: string;
  /** For standard error, a line each; with any the command has failed. */
  readonly faults: readonly string[];
  /** The faults are those that the running gateway has answered with, not those of the command. */
  readonly refused?: true;
}
