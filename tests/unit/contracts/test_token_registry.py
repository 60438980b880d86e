"""TokenRegistry: who gets which id."""

from tests.support.reverts import call, reverts

ZERO = "0x0000000000000000000000000000000000000000"


def test_register_refuses_addresses_without_code(registry, alice, bob):
    for address in (bob.address, ZERO, "0x0000000000000000000000000000000000000006"):
        with reverts(registry.NotAContract, token=address):
            registry.register(address, sender=alice)


def test_register_refuses_a_token_that_is_listed(registry, usdc, usdc_id, alice):
    with reverts(registry.TokenAlreadyRegistered, token=usdc.address, id=usdc_id):
        registry.register(usdc, sender=alice)


def test_register_refuses_when_all_ids_are_given_away(project, chain, deployer, usdc):
    registry = deployer.deploy(project.TokenRegistry)
    # `count` is the first storage slot: as if 65,535 tokens were listed.
    chain.provider.make_request("anvil_setStorageAt", [registry.address, hex(0), "0x" + (65535).to_bytes(32).hex()])
    assert registry.count() == 65535
    with reverts(registry.RegistryFull):
        registry.register(usdc, sender=deployer)


def test_the_last_id_can_be_given(project, chain, deployer, usdc):
    registry = deployer.deploy(project.TokenRegistry)
    chain.provider.make_request("anvil_setStorageAt", [registry.address, hex(0), "0x" + (65534).to_bytes(32).hex()])
    registry.register(usdc, sender=deployer)
    assert registry.idOf(usdc) == 65535
    assert registry.tokenOf(65535) == usdc


def test_register_takes_no_value(project, registry, deployer):
    token = deployer.deploy(project.TestUSDC)
    with reverts():
        registry.register(token, value=1, sender=deployer)


def test_unknown_tokens_and_ids(registry, usdc_id, custody):
    with reverts(registry.UnknownToken, id=usdc_id + 1):
        call(registry, bytes(registry.tokenOf.encode_input(usdc_id + 1)))
    with reverts(registry.TokenNotRegistered, token=custody.address):
        call(registry, bytes(registry.idOf.encode_input(custody)))


def test_ether_is_token_0_from_the_start(registry):
    assert registry.tokenOf(0) == ZERO
    assert registry.idOf(ZERO) == 0


def test_anyone_lists_tokens_and_ids_count_up(project, deployer, mallory):
    registry = deployer.deploy(project.TokenRegistry)
    tokens = [mallory.deploy(project.TestUSDC) for _ in range(3)]
    for number, token in enumerate(tokens, start=1):
        receipt = registry.register(token, sender=mallory)
        assert receipt.events == [registry.TokenRegistered(id=number, token=token)]
        assert registry.tokenOf(number) == token
        assert registry.idOf(token) == number
        assert registry.count() == number


def test_nobody_rules(registry):
    """The only function that changes anything is the one anyone may call."""
    assert [method.name for method in registry.contract_type.mutable_methods] == ["register"]
