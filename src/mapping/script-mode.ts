/** The shapes a script can have: what it is called with, and what it answers by. */
export const SCRIPT_MODES = ['lhttpd', 'luars', 'luvit'] as const;
/**
 * `lhttpd`: the script registers handlers. `luars`: one function takes method, path and body and returns status, type and
 * body. `luvit`: the script returns an app, `function(read, write)` or `function(request)`.
 */
export type ScriptMode = (typeof SCRIPT_MODES)[number];
