// Runs a Lambda function for Node: asks the Runtime API for one invocation after another, as AWS's own runtime does.
import { existsSync } from "node:fs";
import { request } from "node:http";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const {
  AWS_LAMBDA_RUNTIME_API: address = "",
  LAMBDA_TASK_ROOT: root = "",
  _HANDLER: name = "",
} = process.env;
const api = `http://${address}/2018-06-01/runtime`;

const handler = await loadHandler().catch(async (failure) => {
  console.error(failure);
  await ask("POST", "init/error", described(failure));
  process.exit(1);
});

for (;;) {
  const { headers, body } = await ask("GET", "invocation/next");
  const id = String(headers["lambda-runtime-aws-request-id"]);
  const deadlineMs = Number(headers["lambda-runtime-deadline-ms"]);
  process.env._X_AMZN_TRACE_ID = String(headers["lambda-runtime-trace-id"]);
  const context = {
    awsRequestId: id,
    invokedFunctionArn: String(headers["lambda-runtime-invoked-function-arn"]),
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, deadlineMs - Date.now()),
  };
  const [way, told] = await call(JSON.parse(body), context).then(
    (result) => ["response", result ?? null],
    (failure) => {
      console.error(failure);
      return ["error", described(failure)];
    },
  );
  // Read by process.py. What the function has said last may have no end of line.
  process.stdout.write(`\n\u001ekeyturn-said ${id}\n`);
  await ask("POST", `invocation/${id}/${way}`, told);
}

/** `folder/file.handler` or `folder/file.exports.handler`, in a module of either kind. */
async function loadHandler() {
  const [file = "", ...path] = basename(name).split(".");
  const module = [".mjs", ".js", ".cjs"]
    .map((ending) => join(root, dirname(name), file + ending))
    .find(existsSync);
  if (module === undefined) throw named("Runtime.ImportModuleError", `there is no module for ${name}`);
  const found = await import(pathToFileURL(module).href);
  const exported = path.reduce((from, key) => from?.[key] ?? from?.default?.[key], found);
  if (typeof exported !== "function") throw named("Runtime.HandlerNotFound", `${name} is no function`);
  return exported;
}

/** A handler answers by a promise, or by the callback that it takes as a third argument. */
function call(event, context) {
  return new Promise((resolve, reject) => {
    const callback = (failure, result) => (failure ? reject(failure) : resolve(result));
    const answer = handler(event, context, callback);
    if (handler.length < 3 || answer instanceof Promise) resolve(answer);
  });
}

function described(failure) {
  if (!(failure instanceof Error))
    return { errorType: typeof failure, errorMessage: String(failure), trace: [] };
  return {
    errorType: failure.name,
    errorMessage: failure.message,
    trace: (failure.stack ?? "").split("\n"),
  };
}

function named(kind, message) {
  return Object.assign(new Error(message), { name: kind });
}

/** Not by `fetch`, whose patience with an answer that takes minutes is limited. */
function ask(method, path, value) {
  const body = value === undefined ? "" : JSON.stringify(value);
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const asked = request(`${api}/${path}`, { method, headers }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => resolve({ headers: answer.headers, body: Buffer.concat(chunks).toString() }));
      answer.on("error", reject);
    });
    asked.on("error", reject);
    asked.end(body);
  });
}
