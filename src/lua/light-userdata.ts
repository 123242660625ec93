/**
 * All light userdata that the gateway uses: as values that scripts see, and as keys and marks that they do not. No two are
 * equal. They are odd, so that none is the address of anything in the VM.
 */
export const LIGHT_USERDATA = {
  /** Yielded by a host function that waits. */
  suspension: 0x6c67_7731,
  /** In a table that has not been filled yet: the facts it is filled from. */
  tableFacts: 0x6c67_7733,
  /** In such a table: a number. */
  tableNumber: 0x6c67_7735,
  /** In the two tables of a request that has come again: what the first and the second one are copied from. */
  firstTemplate: 0x6c67_773d,
  secondTemplate: 0x6c67_773f,
  /** Beside those: what look-ups in them have found. */
  firstFound: 0x6c67_7741,
  secondFound: 0x6c67_7743,
  /** In a metatable: the function that fills its tables. */
  tableFiller: 0x6c67_7737,
  /** Scripts have it as `json.null`. */
  jsonNull: 0x6c67_7739,
  /** Scripts have it as `body`: the client's request body where a stream is expected. */
  clientBody: 0x6c67_773b,
} as const;
