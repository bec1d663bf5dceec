// fs promises, streams, watch, directories, child processes.
import fs from 'node:fs/promises';
import { createReadStream, createWriteStream } from 'node:fs';
import { execFile, spawn } from 'node:child_process';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import zlib from 'node:zlib';

await fs.mkdir('many');
await Promise.all([...Array(100).keys()].map((i) => fs.writeFile(`many/${i}`, `content ${i} ${Math.random()}`)));
const order = [];
await Promise.all([...Array(100).keys()].map(async (i) => { const t = await fs.readFile(`many/${i}`, 'utf8'); order.push(i); return t; }));
console.log(order.join(' '));
console.log((await fs.readdir('many')).length, (await fs.stat('many/1')).mtimeMs);
await fs.writeFile('big', 'x'.repeat(300000));
await pipeline(createReadStream('big'), zlib.createGzip(), createWriteStream('big.gz'));
console.log((await fs.stat('big.gz')).size);
const { stdout } = await promisify(execFile)('sh', ['-c', 'echo child $$']);
console.log(stdout);
const child = spawn('cat');
child.stdout.on('data', (d) => console.log(`cat: ${d}`));
child.stdin.end('to cat');
console.log(await new Promise((resolve) => child.on('close', resolve)));
await fs.rm('many', { recursive: true });
console.error(`pid ${process.pid}, ${process.hrtime.bigint()}`);
