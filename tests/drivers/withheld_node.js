// Meets errors of the server's that name a value, until Weir withholds them, and goes on.
'use strict';

const { Client } = require('pg');

async function main() {
  const client = new Client();
  await client.connect();
  for (const number of [1, 2, 3]) {
    try {
      await client.query('select cast(email as int) from customers where id = $1', [number]);
    } catch (error) {
      const own = error.message.includes(`customer${number}@`);
      console.log(error.code, own ? 'own' : error.message.includes('withheld') ? 'withheld' : error.message);
    }
  }
  const { rows } = await client.query('select count(*)::int as n from articles');
  await client.end();
  console.log(rows[0].n === 500 ? 'usable' : 'broken');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
