import { availableParallelism } from 'node:os'

// Tests are compiled with everything else; RESTANTE_DIST names another output folder.
const dist = process.env.RESTANTE_DIST ?? 'dist'

export default {
  files: [`${dist}/test/**/*.test.js`, `${dist}/plugins/**/*.test.js`],
  timeout: '2m',
  // many tests wait for processes that they have started
  concurrency: availableParallelism() + 1,
  workerThreads: false
}
