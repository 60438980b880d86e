// Poseidon with 4 inputs as a contract, in the form of Ape's contract types, on standard output:
//
//     node circuits/tools/poseidon_contract.mjs > contracts/zk/generated/Poseidon4.json
//
// `make circuits` does this. The code is circomlibjs's (GPL-3.0); its constants are those of circomlib's template.
import { poseidonContract } from "circomlibjs";

const INPUTS = 4;
const abi = poseidonContract.generateABI(INPUTS).filter((entry) => entry.inputs[0].type === `uint256[${INPUTS}]`);
const contract = {
    contractName: `Poseidon${INPUTS}`,
    abi: abi.map(({ name, type, inputs, outputs, stateMutability }) => ({ type, name, inputs, outputs, stateMutability })),
    deploymentBytecode: { bytecode: poseidonContract.createCode(INPUTS) },
};
process.stdout.write(`${JSON.stringify(contract, null, 2)}\n`, () => process.exit(0));
