/** What scripts may do that they may not do by default; a mapping may have some of its own (`ScriptSettings`). */
export interface ScriptRights {
  /** Templates that `require` tries after the script's own directory, separated by `;`; empty: none. */
  readonly luaPath: string;
  /** Precompiled chunks are accepted. A damaged one can make a state unusable. */
  readonly allowsBytecode: boolean;
  /** Programs that may be started under a virtual root; without one, any may be. */
  readonly commands: readonly string[];
  /** Scripts see the language and its pure libraries only. */
  readonly sandboxed: boolean;
  /**
   * Where `httpd.fetch` may connect to: `none`, `all`, or any of `public` (addresses of the public internet), names, `*.name` and
   * addresses, each perhaps with `:PORT`. Undefined: `all`, in the sandbox `public`.
   */
  readonly connect: readonly string[] | undefined;
  /** Variables of the environment that `os.getenv` shows. */
  readonly variables: readonly string[];
}

export const DEFAULT_SCRIPT_RIGHTS: ScriptRights = {
  luaPath: '',
  allowsBytecode: false,
  commands: [],
  connect: undefined,
  sandboxed: false,
  variables: [],
};
