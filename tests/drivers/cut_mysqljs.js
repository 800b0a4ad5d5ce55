// Reads customers through a stream of mysql until cut.
'use strict';

const mysql = require('mysql');

const client = mysql.createConnection({
  host: process.env.DB_HOST,
  port: Number(process.env.DB_PORT),
  user: process.env.DB_USER,
  password: process.env.DB_PASSWORD,
  database: process.env.DB_NAME,
});
let received = 0;
let state = 'none';
client
  .query('select id, name, email from customers order by id')
  .on('result', () => {
    received += 1;
  })
  .on('error', (error) => {
    state = String(error.errno);
  })
  .on('end', () => {
    client.query('select count(*) as n from articles', (error, rows) => {
      console.log(`received ${received} ${state} ${!error && rows[0].n === 500 ? 'usable' : 'broken'}`);
      client.end();
    });
  });
