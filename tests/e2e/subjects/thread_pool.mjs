// Work on libuv's threads: pbkdf2, scrypt, zlib, dns lookup; the order in which it ends is printed.
import crypto from 'node:crypto';
import zlib from 'node:zlib';
import { lookup } from 'node:dns/promises';
import { promisify } from 'node:util';

const order = [];
const named = async (name, promise) => { const r = await promise; order.push(name); return r; };
const results = await Promise.all([
  ...[1, 2, 3, 4].map((i) => named(`pbkdf2-${i}`, promisify(crypto.pbkdf2)(`p${i}`, 'salt', 2000, 16, 'sha256'))),
  ...[1, 2].map((i) => named(`scrypt-${i}`, promisify(crypto.scrypt)(`p${i}`, 'salt', 16, { N: 1024 }))),
  ...[1, 2].map((i) => named(`gzip-${i}`, promisify(zlib.gzip)('data'.repeat(20000 * i)))),
  named('random', promisify(crypto.randomBytes)(16)),
  named('key', promisify(crypto.generateKeyPair)('ec', { namedCurve: 'P-256' }).then(() => Buffer.from('key'))),
  named('lookup', lookup('localhost').then((r) => Buffer.from(r.address), () => Buffer.from('none'))),
]);
console.log(order.join(' '));
for (const r of results) console.log(r.toString('hex').slice(0, 32));
console.log(crypto.randomUUID());
