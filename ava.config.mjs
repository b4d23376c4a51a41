// Tests are compiled with everything else; RESTANTE_DIST names another output folder.
const dist = process.env.RESTANTE_DIST ?? 'dist'

export default {
  files: [`${dist}/test/**/*.test.js`, `${dist}/plugins/**/*.test.js`],
  timeout: '2m',
  workerThreads: false
}
