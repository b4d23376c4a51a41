/**
 * Says why a program does not go on, for yargs' `fail`: a wrong command line ends with code 2, all else with 1.
 * @param name of the program.
 */
export function failAs(name: string): (problem: string | null, error: Error | undefined) => never {
  return (problem, error) => {
    console.error(`${name}: ${problem || error?.message || 'failed'}`)
    if (problem) console.error(`${name} --help tells what it takes`)
    process.exit(problem ? 2 : 1)
  }
}
