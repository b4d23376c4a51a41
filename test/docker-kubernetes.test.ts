import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { parse, parseAllDocuments } from 'yaml'
import { loadSettings } from '../src/config/load.ts'
import { TOP } from './docker/image-folder.ts'
import { type Manifest, manifestErrors } from './docker/kubernetes-schema.ts'
import { findings, linterPath } from './docker/linters.ts'

const FOLDER = join(TOP, 'docker/kubernetes')
const files = readdirSync(FOLDER).filter(name => name.endsWith('.yaml'))
const manifestFiles = files.filter(name => name !== 'kustomization.yaml')
const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8')
const manifests = manifestFiles.flatMap(name =>
  parseAllDocuments(read(name)).map(document => document.toJS() as Manifest)
)

interface Brokers extends Manifest {
  readonly spec: {
    readonly serviceName: string
    readonly replicas: number
    readonly updateStrategy: { readonly type: string }
    readonly selector: { readonly matchLabels: object }
    readonly template: {
      readonly metadata: { readonly labels: object }
      readonly spec: {
        readonly terminationGracePeriodSeconds: number
        readonly containers: readonly [Container]
        readonly volumes: readonly { readonly name: string }[]
      }
    }
  }
}

interface Container {
  readonly image: string
  readonly args: readonly string[]
  readonly env: readonly {
    readonly name: string
    readonly valueFrom: { readonly secretKeyRef?: { readonly name: string; readonly key: string } }
  }[]
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly startupProbe: Probe
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } }
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
  readonly periodSeconds: number
  readonly failureThreshold: number
}

const brokers = manifests.find(({ kind }) => kind === 'StatefulSet') as Brokers
const pod = brokers.spec.template.spec
const [container] = pod.containers

test('manifests are what Kubernetes says they can be, and have no field that it does not know', t => {
  const folder = linterPath(t, 'kubernetes')
  if (!folder) return
  t.is(manifests.length, 6)
  for (const manifest of manifests) t.deepEqual(manifestErrors(folder, manifest), [], manifest.kind)
  const planted = { ...brokers, spec: { ...brokers.spec, replicas: 'two', minReadySecond: 1 } }
  t.deepEqual(manifestErrors(folder, planted as unknown as Manifest), [
    '/spec must NOT have additional properties {"additionalProperty":"minReadySecond"}',
    '/spec/replicas must be integer {"type":"integer"}'
  ])
})

test('kube-score finds nothing wrong in the manifests', t => {
  const program = linterPath(t, 'kube-score')
  if (!program) return
  // images have fixed tags; a limit of CPU slows a broker down while the machine is idle
  const ignored = ['--ignore-test', 'container-image-pull-policy', '--ignore-container-cpu-limit']
  const paths = manifestFiles.map(name => join(FOLDER, name))
  const { status, text } = findings(program, ['score', '--output-format', 'ci', ...ignored, ...paths])
  t.deepEqual(
    text.split('\n').filter(line => line !== '' && !line.startsWith('[OK]') && !line.startsWith('[SKIPPED]')),
    []
  )
  t.is(status, 0)
})

test('kustomization takes all manifests but the example of a secret, and the image of this version', t => {
  const { resources, images } = parse(read('kustomization.yaml')) as {
    readonly resources: readonly string[]
    readonly images: readonly { readonly name: string; readonly newTag: string }[]
  }
  t.deepEqual([...resources].sort(), manifestFiles.filter(name => !name.includes('example')).sort())
  const { version } = JSON.parse(readFileSync(join(TOP, 'package.json'), 'utf8')) as { version: string }
  t.is(container.image, `restante:${version}`)
  t.like(images[0], { name: 'restante', newTag: version })
})

test('brokers start with settings that there are, and a name that stays theirs', t => {
  const { args, env, ports, volumeMounts } = container
  const example: Readonly<Record<string, string>> = {
    RESTANTE_BROKER_NAME: 'restante-0',
    ...Object.fromEntries(env.map(({ name, valueFrom }) => [name, secretOf(valueFrom.secretKeyRef) ?? '']))
  }
  const flags = Object.fromEntries(
    args.flatMap((word, i) => (word.startsWith('--') ? [[word.slice(2), args[i + 1]]] : []))
  )
  const environment = { ...example, RESTANTE_BROKER_NAME: 'restante-0' }
  const { settings } = loadSettings({
    environment,
    flags: { ...flags, 'allowed-hosts': [flags['allowed-hosts']] }
  })
  t.like(settings, { store: 'mongodb', brokerName: 'restante-0', host: '0.0.0.0' })
  t.regex(settings.mongodbUrl, /^mongodb:\/\/.*\/restante\?/)
  t.regex(settings.redisUrl, /^redis:\/\//)
  t.deepEqual(settings.allowedHosts, [brokers.metadata.name])
  t.deepEqual(ports, [
    { name: 'mqtt', containerPort: settings.mqttPort },
    { name: 'http', containerPort: settings.httpPort }
  ])
  t.true(volumeMounts.some(({ mountPath }) => mountPath === settings.data))
  t.deepEqual(pod.volumes.map(({ name }) => name).sort(), volumeMounts.map(({ name }) => name).sort())
})

test('a rolling update takes one broker at a time, when it has said goodbye and the one before is ready', t => {
  const { startupProbe, livenessProbe, readinessProbe, lifecycle } = container
  t.is(brokers.spec.updateStrategy.type, 'RollingUpdate')
  t.true(brokers.spec.replicas > 1)
  t.is(readinessProbe.httpGet.path, '/health/ready')
  t.is(livenessProbe.httpGet.path, '/health/live')
  t.is(startupProbe.httpGet.path, '/health/live')
  const [sleep, seconds] = lifecycle.preStop.exec.command
  t.is(sleep, 'sleep')
  t.true(Number(seconds) > readinessProbe.periodSeconds)
  t.true(pod.terminationGracePeriodSeconds >= Number(seconds) + 30)
  // the store may be waited for as long as it says
  const { storeTimeoutMs } = loadSettings({}).settings
  t.true(startupProbe.periodSeconds * startupProbe.failureThreshold > (2 * storeTimeoutMs) / 1_000)
  const budget = manifests.find(({ kind }) => kind === 'PodDisruptionBudget') as Manifest & {
    spec: { maxUnavailable: number; selector: object }
  }
  t.is(budget.spec.maxUnavailable, 1)
  t.deepEqual(budget.spec.selector, brokers.spec.selector)
})

test('services and the network policy reach the brokers at their ports', t => {
  const { labels } = brokers.spec.template.metadata
  t.deepEqual(brokers.spec.selector.matchLabels, labels)
  const services = manifests.filter(({ kind }) => kind === 'Service') as (Manifest & {
    spec: {
      clusterIP?: string
      selector: object
      ports: { name: string; targetPort: string; port: number }[]
    }
  })[]
  for (const { spec } of services) {
    t.deepEqual(spec.selector, labels)
    const asContainers = spec.ports.map(({ targetPort, port }) => ({ name: targetPort, containerPort: port }))
    t.deepEqual(asContainers, [...container.ports])
  }
  t.is(services.find(({ metadata }) => metadata.name === brokers.spec.serviceName)?.spec.clusterIP, 'None')
  const policy = manifests.find(({ kind }) => kind === 'NetworkPolicy') as Manifest & {
    spec: { podSelector: { matchLabels: object }; ingress: { ports: { port: string }[] }[] }
  }
  t.deepEqual(policy.spec.podSelector.matchLabels, labels)
  t.deepEqual(
    policy.spec.ingress[0]!.ports.map(({ port }) => port),
    container.ports.map(({ name }) => name)
  )
})

/** What the example of a secret has for a key. */
function secretOf(ref: { readonly name: string; readonly key: string } | undefined): string | undefined {
  if (!ref) return undefined
  const secret = manifests.find(({ kind, metadata }) => kind === 'Secret' && metadata.name === ref.name) as
    | (Manifest & { stringData: Readonly<Record<string, string>> })
    | undefined
  return secret?.stringData[ref.key] ?? `no ${ref.key} in the secret`
}
