// What 'webgpu' is in tests: the package's addon for this machine. The package itself is an ES module, which Jest's module system does not load.
const { arch, platform } = require('node:process');
module.exports = require(
  `../../node_modules/webgpu/dist/${platform}-${platform === 'darwin' ? 'universal' : arch}/dawn.node`,
);
