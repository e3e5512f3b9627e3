// Section 7.1 of the specification, between what it takes for granted: where the registry is, the
// key of the last run, and `sign`, which is section 3.1.
import crypto from 'node:crypto';
import fs from 'node:fs';

const [, , base, step, keyFile] = process.argv;

const fetch = async (path, options) => {
  const answer = await globalThis.fetch(base + path, options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
};

const canonical = (value) => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const entry = (key) => `${JSON.stringify(key)}:${canonical(value[key])}`;
  return `{${Object.keys(value).sort().map(entry).join(',')}}`;
};

let keys;
if (step === 'register') {
  keys = crypto.generateKeyPairSync('ed25519');
  fs.writeFileSync(keyFile, keys.privateKey.export({ format: 'pem', type: 'pkcs8' }));
} else {
  const privateKey = crypto.createPrivateKey(fs.readFileSync(keyFile));
  keys = { privateKey, publicKey: crypto.createPublicKey(privateKey) };
}
const { publicKey, privateKey } = keys;
const sign = ({ signature, ...object }) => ({
  ...object,
  signature: crypto.sign(null, Buffer.from(canonical(object)), privateKey).toString('base64'),
});
const fresh = () => ({
  timestamp: Math.floor(Date.now() / 1000),
  nonce: crypto.randomBytes(16).toString('hex'),
});

if (step === 'register') {
  // 2. Register identity
  await fetch('/identity', {
    method: 'POST',
    headers: { 'Authorization': 'Bearer invite_code_here' },
    body: JSON.stringify({
      handle: 'seth',
      publicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
      capabilities: { payloads: ['game:tictactoe'], delivery: ['poll'] }
    })
  });

  // 3. Request consent
  const consentReq = sign({ from: 'seth', to: 'alex', message: 'Hey!', ...fresh() });
  await fetch('/consent/request', { method: 'POST', body: JSON.stringify(consentReq) });
} else {
  // 4. After consent accepted, send message
  const msg = sign({
    v: '0.1',
    id: 'msg_' + crypto.randomUUID(),
    from: 'seth',
    to: 'alex',
    timestamp: Math.floor(Date.now() / 1000),
    nonce: crypto.randomBytes(16).toString('hex'),
    body: 'Your move!',
    payload: { type: 'game:tictactoe', data: { board: ['X','','','','','','','',''], turn: 'O' } }
  });
  await fetch('/messages', { method: 'POST', body: JSON.stringify(msg) });
}
