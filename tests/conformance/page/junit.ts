/** Verdicts as JUnit XML, for the systems that read test results. */
import reports, { type Builder } from 'junit-report-builder';
import { type PageVerdict, RULES } from './rules.ts';

/** @param page the address that was tried, which names the suite */
export function junitOf(page: string, verdicts: readonly PageVerdict[], seconds: number): string {
  // Its types speak of a module with a default; what it exports is the builder itself.
  const report = (reports as unknown as Builder).newBuilder();
  const suite = report.testSuite().name(`page ${page}`).time(seconds);
  for (const { rule, result, evidence } of verdicts) {
    const one = suite.testCase().className('conformance.page').name(`${rule}: ${RULES[rule]}`);
    if (result === 'broken') one.failure(evidence);
    // A skipped case has no room for a reason.
    else one.standardOutput(evidence);
    if (result === 'not checked') one.skipped();
  }
  return report.build();
}
