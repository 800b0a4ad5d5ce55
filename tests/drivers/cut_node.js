// Reads customers through pg-cursor until cut.
'use strict';

const { Client } = require('pg');
const Cursor = require('pg-cursor');

async function main() {
  const client = new Client();
  await client.connect();
  let received = 0;
  let state = 'none';
  const cursor = client.query(new Cursor('select id, name, email from customers order by id'));
  try {
    for (let rows = await cursor.read(50); rows.length > 0; rows = await cursor.read(50)) received += rows.length;
  } catch (error) {
    state = error.code;
  }
  const { rows } = await client.query('select count(*)::int as n from articles');
  await client.end();
  console.log(`received ${received} ${state} ${rows[0].n === 500 ? 'usable' : 'broken'}`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
