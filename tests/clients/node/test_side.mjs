// How a client's script talks with the test that runs it: one JSON value on each line.
import readline from "node:readline";

export const given = JSON.parse(process.argv[2]);
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// Tells the test something, and returns what it answers.
export async function ask(question) {
  console.log(JSON.stringify(question));
  return JSON.parse((await lines.next()).value);
}

// Reads what only Alice may with a token, and returns the status.
export async function reads(token) {
  const answer = await fetch(`${given.url}/api/v2/sensors/alice.greenhouse/data`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return answer.status;
}

export function done(result) {
  console.log(JSON.stringify({ result }));
  process.exit(0);
}
