exports.requirePackage = require;
