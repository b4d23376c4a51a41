import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { packageVersion } from '../../src/plugin.ts'

/** One for the process, since what watches the event loop and the garbage collector cannot be stopped again. */
let shared: Registry | undefined

/** Registers version and process: CPU, memory, event loop, garbage collector, under the names that prom-client gives them. */
export function addProcessMetrics(registry: Registry): void {
  const info = new Gauge({
    name: 'restante_build_info',
    help: 'The version of the server; the value is always 1.',
    labelNames: ['version'],
    registers: [registry]
  })
  info.set({ version: packageVersion() }, 1)
  for (const { name } of processMetrics().getMetricsAsArray()) {
    const metric = processMetrics().getSingleMetric(name)
    if (metric) registry.registerMetric(metric)
  }
}

function processMetrics(): Registry {
  if (shared) return shared
  shared = new Registry()
  collectDefaultMetrics({ register: shared })
  return shared
}
