// Writes fixtures/vectors/storage-proof.json: a block header and an EIP-1186 proof as a real node gives them.
// Needs anvil: `npm ci` in contracts/ first. The contract is four bytes of code and three words of storage.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { once } from 'node:events';

const anvil = spawn(new URL('../../contracts/node_modules/.bin/anvil', import.meta.url).pathname,
  ['--host', '127.0.0.1', '--port', '0', '--hardfork', 'prague'], { stdio: ['ignore', 'pipe', 'inherit'] });
try {
  let printed = '';
  while (!/Listening on (\S+)/.test(printed)) printed += String((await once(anvil.stdout, 'data'))[0]);
  anvil.stdout.resume();
  const url = `http://${/Listening on (\S+)/.exec(printed)[1]}`;
  const call = async (method, ...params) => {
    const answer = await (await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }) })).json();
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  };
  const [from] = await call('eth_accounts');
  // Slots 0, 1 and 2**255: 42, 7 and a full word; then four bytes of code (PUSH1 1 PUSH1 2).
  const code = '0x' + '602a600055' + '6007600155' + '7f' + 'ff'.repeat(32) + '7f80' + '00'.repeat(31) + '55' + '6360016002' + '600052' + '6004601cf3';
  const hash = await call('eth_sendTransaction', { from, data: code, gas: '0x100000' });
  let receipt;
  for (let n = 0; n < 50 && !receipt; n++) {
    receipt = await call('eth_getTransactionReceipt', hash);
    if (!receipt) await new Promise((wait) => setTimeout(wait, 100));
  }
  if (receipt?.status !== '0x1') throw new Error('the contract was not created');
  const header = await call('eth_getBlockByHash', receipt.blockHash, false);
  const slots = ['00', '01', '80' + '00'.repeat(31), '05'].map((slot) => '0x' + slot.padStart(64, '0'));
  const proof = await call('eth_getProof', receipt.contractAddress, slots, receipt.blockNumber);
  const absent = await call('eth_getProof', '0x' + '99'.repeat(20), [], receipt.blockNumber);
  delete header.transactions;
  writeFileSync(new URL('../../fixtures/vectors/storage-proof.json', import.meta.url), JSON.stringify({
    source: 'anvil 1.7.1, written by tools/proofs/make.mjs', header, proof, absent }, null, 2) + '\n');
  console.log(`block ${header.hash}, contract ${receipt.contractAddress}`);
} finally {
  anvil.kill();
}
