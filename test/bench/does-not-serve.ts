/** Replaces a gateway that prints its version and fails to start. */
if (process.argv.includes('--version')) console.log('broken 0.0.0');
else {
  console.error('Cannot serve anything');
  process.exitCode = 1;
}
