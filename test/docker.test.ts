import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { parse } from 'yaml'
import { ComposeRun, type Image, type Service } from './docker/compose-run.ts'
import { allInstructions, copies, parseDockerfile } from './docker/dockerfile.ts'
import { imageFolder, TOP } from './docker/image-folder.ts'
import { findings, linterPath } from './docker/linters.ts'
import { type Program, testFolder } from './helpers/process.ts'

const DOCKERFILE = join(TOP, 'docker/Dockerfile')
const stages = parseDockerfile(readFileSync(DOCKERFILE, 'utf8'))
const IMAGES = ['server', 'applications']

interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
}

const compose = parse(readFileSync(join(TOP, 'docker/compose.yaml'), 'utf8'), { merge: true }) as Compose
const services = Object.entries(compose.services)

test('hadolint finds nothing wrong in the Dockerfile', t => {
  const program = linterPath(t, 'hadolint')
  if (program) t.deepEqual(findings(program, [DOCKERFILE]), { status: 0, text: '' })
})

test('images stand on one pinned version, run as nobody in particular, and keep their data in a volume', t => {
  for (const { base } of stages) {
    if (!stages.some(({ name }) => name === base)) t.regex(base, /^node:\d+\.\d+\.\d+-\w+-slim$/)
  }
  t.is(stages.at(-1)?.name, 'server') // what a build without --target gives
  for (const image of IMAGES) {
    const instructions = allInstructions(stages, image)
    const text = (name: string) => instructions.filter(one => one.name === name).at(-1)?.text
    t.regex(text('USER') ?? '', /^[1-9]\d*:[1-9]\d*$/, image)
    t.is(text('VOLUME'), '/data', image)
    t.regex(text('ENTRYPOINT') ?? '', /^\["node"/, image) // no shell in between: signals reach the program
    t.truthy(text('HEALTHCHECK'), image)
  }
  t.false(stages.some(({ instructions }) => instructions.some(({ name }) => name === 'ADD')))
})

test('what images copy from the project is there, and is not kept out of the build', t => {
  const ignored = readFileSync(join(TOP, '.dockerignore'), 'utf8').split('\n')
  const kept = ignored.filter(line => line.startsWith('!')).map(line => line.slice(1))
  t.true(ignored.includes('**/*.test.ts')) // they import from what is not copied
  for (const { from, sources } of stages.flatMap(({ instructions }) => copies(instructions))) {
    if (from !== undefined) continue
    for (const source of sources) {
      t.true(existsSync(join(TOP, source)), source)
      t.true(
        kept.some(path => source === path || source.startsWith(`${path}/`)),
        source
      )
    }
  }
})

test('project builds from what the images copy of it', t => {
  const folder = imageFolder(t, stages, 'build')
  symlinkSync(join(TOP, 'node_modules'), join(folder, 'node_modules'))
  const command = stages[0]!.instructions.findLast(({ name }) => name === 'RUN')!.text.split(' ')
  t.deepEqual(command.slice(0, 2), ['npx', 'tsc'])
  const tsc = join(TOP, 'node_modules/.bin/tsc')
  const { status, stdout } = spawnSync(tsc, command.slice(2), { cwd: folder, encoding: 'utf8' })
  t.is(stdout, '')
  t.is(status, 0)
  t.true(existsSync(join(folder, 'dist/src/commands/main.js')))
})

test('compose files are as the specification of Compose says, and dclint finds nothing wrong', t => {
  const program = linterPath(t, 'dclint')
  if (!program) return
  // images of the project are built here, and are found by name
  const ignored = ['no-build-and-image', 'service-image-require-explicit-tag']
  const flags = ['--quiet', ...ignored.flatMap(rule => ['--disable-rule', rule])]
  const lint = (file: string) => findings(program, [file, ...flags])
  for (const file of ['compose.yaml', 'compose.cluster.yaml']) {
    t.deepEqual(lint(join(TOP, 'docker', file)), { status: 0, text: '' }, file)
  }
  const planted = join(testFolder(t), 'compose.yaml')
  writeFileSync(planted, 'name: planted\nservices:\n  server:\n    image: restante\n    stop_grace: 30s\n')
  t.like(lint(planted), { status: 1 })
  t.regex(lint(planted).text, /services\/server.*additional properties/)
})

test('services of the compose file name what is there', t => {
  const conditions = ['service_healthy', 'service_completed_successfully']
  for (const [name, { build, command, ports = [], volumes = [], depends_on = {} }] of services) {
    t.deepEqual(
      build && { ...build, target: '' },
      { context: '..', dockerfile: 'docker/Dockerfile', target: '' },
      name
    )
    t.true(IMAGES.includes(build?.target ?? ''), name)
    const source = /^dist\/(.*)\.js$/.exec(command[0]!)?.[1]
    if (build?.target === 'applications') t.true(existsSync(join(TOP, `${source}.ts`)), name)
    for (const port of ports) t.regex(port, /^127\.0\.0\.1:(\d+):\1$/, name)
    const places = volumes.map(volume => volume.split(':')[1])
    for (const [path] of command.join(' ').matchAll(/(?<=[= ])\/[\w-]+/g))
      t.true(places.includes(path), `${name}: ${path}`)
    for (const volume of volumes) t.true(volume.split(':')[0]! in compose.volumes, `${name}: ${volume}`)
    for (const [other, { condition }] of Object.entries(depends_on)) {
      t.true(other in compose.services, `${name}: ${other}`)
      t.true(conditions.includes(condition), `${name}: ${condition}`)
    }
  }
})

test('services start with the files of their images and the command lines of the compose file, and are well', async t => {
  const run = new ComposeRun(t)
  const images = Object.fromEntries(IMAGES.map(target => [target, imageOf(t, target)]))
  const started = new Map<string, Program>()
  for (const [name, service] of inOrder()) {
    const image = images[service.build!.target]!
    const program = await run.start(name, service, image, runsOnce(name))
    started.set(name, program)
    if (runsOnce(name)) t.is(program.exit?.code, 0, program.story())
    else t.is((await run.health(name, service, image, checkOf(name, service))).exit?.code, 0, name)
  }
  t.is(started.size, 6)

  // as the other containers call it
  t.is(await statusFor(run.port('server:8080'), 'server:8080'), 200)
  const count = await fetch(`http://127.0.0.1:${run.port('dashboard:3001')}/api/count`)
  t.like(await count.json(), { count: 0 })

  await started.get('logger')!.kill('SIGKILL')
  const service = compose.services.logger!
  const unwell = await run.health('logger', service, images.applications!, checkOf('logger', service))
  t.is(unwell.exit?.code, 1)
  t.regex(unwell.stderr, /connected is not true/)
})

/** The services, each behind those that it depends on. */
function inOrder(): [string, Service][] {
  const names: string[] = []
  const add = (name: string) => {
    for (const other of Object.keys(compose.services[name]?.depends_on ?? {})) add(other)
    if (!names.includes(name)) names.push(name)
  }
  for (const [name] of services) add(name)
  return names.map(name => [name, compose.services[name]!])
}

function runsOnce(name: string): boolean {
  return services.some(
    ([, { depends_on }]) => depends_on?.[name]?.condition === 'service_completed_successfully'
  )
}

function imageOf(t: ExecutionContext, target: string): Image {
  const entrypoint = allInstructions(stages, target).find(({ name }) => name === 'ENTRYPOINT')!
  return { folder: imageFolder(t, stages, target), entrypoint: JSON.parse(entrypoint.text) as string[] }
}

/** The health check of a service, or that of its image. */
function checkOf(name: string, { healthcheck, build }: Service): readonly string[] {
  if (healthcheck) return healthcheck.test.slice(1)
  const check = allInstructions(stages, build!.target).findLast(one => one.name === 'HEALTHCHECK')
  const command = /CMD (\[.*\])$/.exec(check?.text ?? '')?.[1]
  if (!command) throw new Error(`${name} has no health check`)
  return JSON.parse(command) as string[]
}

/** Status of an answer to a request that calls the server by this name. */
function statusFor(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', path: '/v1/sessions', headers: { host } }, answer =>
      resolve(answer.resume().statusCode)
    )
    asked.on('error', reject).end()
  })
}
