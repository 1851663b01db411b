// `npm start`, `npm test` and the rest, in a fresh clone too: installs and builds what is missing, then runs the command.
// This file has no static imports, so that an old Node reads it and gets one clear line.
const REQUIRED = [20, 19];

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < REQUIRED[0] || (major === REQUIRED[0] && minor < REQUIRED[1])) {
  console.error(
    `evenkeel: working in this repository needs Node ${REQUIRED.join(".")} or newer, this is ${process.versions.node}`,
  );
  process.exitCode = 1;
} else {
  import("./commands.mjs")
    .then(({ main }) => main(process.argv.slice(2)))
    .catch((error) => {
      console.error(process.env.EVENKEEL_DEBUG ? error : `evenkeel: ${error.message}`);
      process.exitCode = 1;
    });
}
