// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafetyRegistry} from "../src/SafetyRegistry.sol";
import "./World.sol";

/// What scorers say, and that no relayer can bring an old report back.
contract SafetyTest is World {
    SafetyRegistry private safety;

    function setUp() public override {
        super.setUp();
        safety = SafetyRegistry(create("SafetyRegistry", ""));
    }

    function report(bytes32 what, bytes32 previous) private pure returns (ReportInput memory) {
        return ReportInput(NAME, "1.0.0", "hi", "lo", what, "https://reports.example/1", previous);
    }

    function submit(ReportInput memory r) private {
        safety.submit(r, person(0), rawSignature(key(0), safety.digestOf(r)));
    }

    function release() private view returns (bytes32) {
        return safety.releaseOf(NAME, "1.0.0", "hi", "lo");
    }

    function test_anybody_reports_and_one_slot_keeps_the_hash() public {
        ReportInput memory r = report("one", 0);
        bytes memory signature = rawSignature(key(0), safety.digestOf(r));
        vm.expectEmit(address(safety));
        emit SafetyRegistry.Reported(
            id(NAME), keccak256("1.0.0"), person(0), NAME, "1.0.0", "hi", "lo", "one", "https://reports.example/1"
        );
        safety.submit(r, person(0), signature);
        same(safety.getReport(release(), person(0)), "one", "report");
        same(safety.getReport(release(), person(1)), 0, "another scorer");
        same(safety.getReport(safety.releaseOf(NAME, "1.0.0", "lo", "hi"), person(0)), 0, "other bytes");
        address[] memory scorers = people(0, 2);
        bytes32[] memory reports = safety.getReports(release(), scorers);
        same(reports[0], "one", "first");
        same(reports[1], 0, "second");
        bytes32 slot = keccak256(abi.encode(person(0), keccak256(abi.encode(release(), uint256(0)))));
        same(vm.load(address(safety), slot), "one", "slot");
    }

    function test_a_report_replaces_the_one_it_names() public {
        ReportInput memory first = report("one", 0);
        bytes memory firstSignature = rawSignature(key(0), safety.digestOf(first));
        safety.submit(first, person(0), firstSignature);
        refuses(Errors.WrongReport.selector, 0, uint256(bytes32("one")));
        safety.submit(first, person(0), firstSignature);
        submit(report("two", "one"));
        same(safety.getReport(release(), person(0)), "two", "report");
        refuses(Errors.WrongReport.selector, 0, uint256(bytes32("two")));
        safety.submit(first, person(0), firstSignature);
    }

    function test_every_field_is_signed_by_its_scorer() public {
        ReportInput memory r = report("one", 0);
        bytes memory signature = rawSignature(key(0), safety.digestOf(r));
        refuses(Errors.BadSignature.selector, 0);
        safety.submit(r, person(1), signature);
        refuses(Errors.BadSignature.selector, 0);
        safety.submit(r, address(0), signature);
        for (uint256 field; field < 6; ++field) {
            ReportInput memory f = report("one", 0);
            if (field == 0) f.packageName = "other";
            if (field == 1) f.version = "1.0.1";
            if (field == 2) f.sha512Hi = "h";
            if (field == 3) f.sha512Lo = "l";
            if (field == 4) f.report = "two";
            if (field == 5) f.location = "";
            refuses(Errors.BadSignature.selector, 0);
            safety.submit(f, person(0), signature);
        }
    }

    function test_a_report_is_about_a_package_and_a_version() public {
        ReportInput memory r = report("one", 0);
        r.packageName = "a b";
        refuses(Errors.BadName.selector, "a b");
        safety.submit(r, person(0), "");
        r.packageName = NAME;
        r.version = "1";
        refuses(Errors.BadVersion.selector, "1");
        safety.submit(r, person(0), "");
    }
}
