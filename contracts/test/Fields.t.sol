// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafetyRegistry} from "../src/SafetyRegistry.sol";
import "./World.sol";

/// Fields that only tell one message from another when the same people speak of several packages, versions or
/// epochs: each is signed. The other fields are beside the rules they belong to.
contract FieldsTest is World {
    string private constant OTHER = "right-pad";

    function setUp() public override {
        super.setUp();
        for (uint256 i; i < 2; ++i) {
            Config memory c = config(i == 0 ? NAME : OTHER, 3, 2);
            c.releaseDelayHours = 24;
            claim(c);
            publish(release(c.packageName, "1.0.0", 0), 3);
            publish(release(c.packageName, "1.0.1", 1), 3);
        }
    }

    function test_the_epoch_of_a_release_is_signed() public {
        ReleaseInput memory r = release(NAME, "2.0.0", 2);
        bytes memory signatures = sign(3, packages.digestOf(r));
        configure(nextConfig(NAME, 3, 2), 3);
        r.epoch = 1;
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(r, 3, signatures);
    }

    function test_the_epoch_of_a_release_of_a_batch_is_signed() public {
        ReleaseInput[] memory rs = new ReleaseInput[](1);
        uint16[] memory bits = new uint16[](1);
        (rs[0], bits[0]) = (release(NAME, "2.0.0", 2), 3);
        bytes memory signatures = sign(3, packages.digestOfBatch(rs));
        configure(nextConfig(NAME, 3, 2), 3);
        rs[0].epoch = 1;
        refuses(Errors.BadSignature.selector, 0);
        packages.publishBatch(rs, bits, signatures);
    }

    function test_the_epoch_of_a_config_is_signed() public {
        Config memory c = nextConfig(NAME, 3, 2);
        bytes memory signatures = sign(3, names.digestOf(c));
        configure(nextConfig(NAME, 3, 2), 3);
        c.epoch = 2;
        bytes memory own = sign(3, names.digestOf(c));
        refuses(Errors.BadSignature.selector, 0);
        names.configure(c, 3, signatures, 3, own);
    }

    function test_the_package_and_the_epoch_of_a_revocation_are_signed() public {
        RevocationInput memory r = revocation(NAME, "1.0.0");
        bytes memory signatures = sign(3, packages.digestOfRevocation(r));
        r.packageName = OTHER;
        refuses(Errors.BadSignature.selector, 0);
        packages.revoke(r, 3, signatures);
        configure(nextConfig(NAME, 3, 2), 3);
        (r.packageName, r.epoch) = (NAME, 1);
        refuses(Errors.BadSignature.selector, 0);
        packages.revoke(r, 3, signatures);
    }

    function test_the_package_of_a_withdrawal_is_signed() public {
        bytes memory signature = sign(1, packages.digestOfWithdrawal(NAME, 5));
        refuses(Errors.BadSignature.selector, 0);
        packages.withdraw(OTHER, 5, 1, signature);
        packages.withdraw(NAME, 5, 1, signature);
    }

    function test_the_package_of_a_veto_is_signed() public {
        bytes memory signature = sign(1, packages.digestOfVeto(NAME, "1.0.0"));
        refuses(Errors.BadSignature.selector, 0);
        packages.veto(OTHER, "1.0.0", 1, signature);
        packages.veto(NAME, "1.0.0", 1, signature);
    }

    function test_the_package_and_the_version_of_a_flag_are_signed() public {
        FlagInput memory f = FlagInput(NAME, "1.0.0", "odd", START + 1 days);
        bytes memory signature = sign(1, packages.digestOfFlag(f));
        f.packageName = OTHER;
        refuses(Errors.BadSignature.selector, 0);
        packages.flag(f, 1, signature);
        (f.packageName, f.version) = (NAME, "1.0.1");
        refuses(Errors.BadSignature.selector, 0);
        packages.flag(f, 1, signature);
        f.version = "1.0.0";
        packages.flag(f, 1, signature);
    }

    function test_the_report_that_another_replaces_is_signed() public {
        SafetyRegistry safety = SafetyRegistry(create("SafetyRegistry", ""));
        ReportInput memory r = ReportInput(NAME, "1.0.0", "hi", "lo", "one", "", 0);
        safety.submit(r, person(0), rawSignature(key(0), safety.digestOf(r)));
        r.report = "two";
        bytes memory signature = rawSignature(key(0), safety.digestOf(r));
        r.previous = "one";
        refuses(Errors.BadSignature.selector, 0);
        safety.submit(r, person(0), signature);
    }
}
