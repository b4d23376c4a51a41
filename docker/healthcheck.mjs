/* healthcheck.mjs URL [FIELD]: ends with 0 when the URL answers well, and the field of its JSON, if one is named, is true. */
const [url, field] = process.argv.slice(2)
try {
  const answer = await fetch(url, { signal: AbortSignal.timeout(4_000) })
  const isWell = answer.ok && (field === undefined || (await answer.json())[field] === true)
  if (!isWell) throw new Error(`${answer.status}${field ? `, ${field} is not true` : ''}`)
} catch (error) {
  process.stderr.write(`${url}: ${error.cause?.message ?? error.message}\n`)
  process.exitCode = 1
}
