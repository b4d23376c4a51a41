/* Loaded into each program of the demo: ends it when the demo is gone, also when that was killed. */
process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM')).resume()
if ('unref' in process.stdin) process.stdin.unref() // a program that has ended by itself does not wait for it
