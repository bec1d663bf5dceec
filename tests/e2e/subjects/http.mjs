// An http server and its clients in one process on loopback, keep-alive and streaming.
import http from 'node:http';

const server = http.createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  response.setHeader('x-pid', process.pid);
  response.write(`${request.method} ${request.url} ${body.length}\n`);
  setTimeout(() => response.end(`at ${Date.now()}`), 3);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address();
const answers = await Promise.all([...Array(8).keys()].map(async (i) => {
  const r = await fetch(`http://127.0.0.1:${port}/${i}`, { method: 'POST', body: 'b'.repeat(i * 1000) });
  return `${r.status} ${await r.text()}`;
}));
console.log(port, answers.join('\n'));
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
for (let i = 0; i < 3; ++i) {
  await new Promise((resolve, reject) => http.get({ port, host: '127.0.0.1', path: `/again${i}`, agent }, (r) => {
    r.on('data', (d) => console.log(`${r.headers.date} ${d}`)).on('end', resolve);
  }).on('error', reject));
}
agent.destroy();
server.closeAllConnections();
server.close(() => console.log('closed'));
