// Runs Verdaccio on a loopback port that the kernel chooses (or the one given), and says which.
// Verdaccio's own command needs a port chosen beforehand, which somebody else may take meanwhile.
'use strict';
const { runServer } = require('verdaccio');

const [, , configuration, port = '0'] = process.argv;
runServer(configuration).then((server) => {
  server.on('error', (error) => { console.error(error.message); process.exit(1); });
  server.listen(Number(port), '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
});
