-- The tables that Gammu SMSD 1.42 works on (its schema version 17), as far as it and we use them, in a schema of their own; its role finds
-- them by its search path.
CREATE SCHEMA gammu;
CREATE DOMAIN gammu.coding AS varchar(255) DEFAULT 'Default_No_Compression'
  CHECK (VALUE IN ('Default_No_Compression', 'Unicode_No_Compression', '8bit', 'Default_Compression', 'Unicode_Compression'));

CREATE TABLE gammu.gammu ("Version" smallint PRIMARY KEY);
INSERT INTO gammu.gammu VALUES (17);

CREATE TABLE gammu.outbox (
  "ID" serial PRIMARY KEY, "DestinationNumber" varchar(20) NOT NULL DEFAULT '', "SenderID" varchar(255), "CreatorID" text NOT NULL,
  "Text" text, "TextDecoded" text NOT NULL DEFAULT '', "Coding" gammu.coding NOT NULL, "UDH" text, "MultiPart" boolean NOT NULL DEFAULT false,
  "Class" integer DEFAULT -1, "RelativeValidity" integer DEFAULT -1, "DeliveryReport" varchar(10) DEFAULT 'default',
  "Retries" integer DEFAULT 0, "Priority" integer DEFAULT 0, "Status" varchar(255) NOT NULL DEFAULT 'Reserved', "StatusCode" integer NOT NULL DEFAULT -1,
  "InsertIntoDB" timestamp(0) NOT NULL DEFAULT LOCALTIMESTAMP(0), "UpdatedInDB" timestamp(0) NOT NULL DEFAULT LOCALTIMESTAMP(0),
  "SendingDateTime" timestamp NOT NULL DEFAULT LOCALTIMESTAMP(0), "SendingTimeOut" timestamp(0) NOT NULL DEFAULT LOCALTIMESTAMP(0),
  "SendBefore" time NOT NULL DEFAULT '23:59:59', "SendAfter" time NOT NULL DEFAULT '00:00:00');
CREATE TABLE gammu.outbox_multipart (
  "ID" integer NOT NULL, "SequencePosition" integer NOT NULL DEFAULT 1, "Text" text, "TextDecoded" text, "Coding" gammu.coding NOT NULL, "UDH" text,
  "Class" integer DEFAULT -1, "Status" varchar(255) NOT NULL DEFAULT 'Reserved', "StatusCode" integer NOT NULL DEFAULT -1,
  PRIMARY KEY ("ID", "SequencePosition"));
CREATE TABLE gammu.sentitems (
  "ID" integer NOT NULL, "SequencePosition" integer NOT NULL DEFAULT 1, "DestinationNumber" varchar(20) NOT NULL DEFAULT '', "SenderID" varchar(255) NOT NULL,
  "CreatorID" text NOT NULL, "Text" text NOT NULL, "TextDecoded" text NOT NULL DEFAULT '', "Coding" gammu.coding NOT NULL, "UDH" text NOT NULL,
  "SMSCNumber" varchar(20) NOT NULL DEFAULT '', "Class" integer NOT NULL DEFAULT -1, "Status" varchar(255) NOT NULL DEFAULT 'SendingOK',
  "StatusError" integer NOT NULL DEFAULT -1, "TPMR" integer NOT NULL DEFAULT -1, "RelativeValidity" integer NOT NULL DEFAULT -1,
  "StatusCode" integer NOT NULL DEFAULT -1, "InsertIntoDB" timestamp(0) NOT NULL DEFAULT LOCALTIMESTAMP(0),
  "UpdatedInDB" timestamp(0) NOT NULL DEFAULT LOCALTIMESTAMP(0), "SendingDateTime" timestamp(0) NOT NULL DEFAULT LOCALTIMESTAMP(0), "DeliveryDateTime" timestamp(0),
  PRIMARY KEY ("ID", "SequencePosition"));
CREATE TABLE gammu.inbox (
  "ID" serial PRIMARY KEY, "SenderNumber" varchar(20) NOT NULL DEFAULT '', "RecipientID" text NOT NULL, "Text" text NOT NULL,
  "TextDecoded" text NOT NULL DEFAULT '', "Coding" gammu.coding NOT NULL, "UDH" text NOT NULL, "SMSCNumber" varchar(20) NOT NULL DEFAULT '',
  "Class" integer NOT NULL DEFAULT -1, "Status" integer NOT NULL DEFAULT -1, "Processed" boolean NOT NULL DEFAULT false,
  "ReceivingDateTime" timestamp(0) NOT NULL DEFAULT LOCALTIMESTAMP(0), "UpdatedInDB" timestamp(0) NOT NULL DEFAULT LOCALTIMESTAMP(0));
CREATE TABLE gammu.phones (
  "IMEI" varchar(35) PRIMARY KEY, "ID" text NOT NULL, "IMSI" varchar(35) NOT NULL, "NetCode" varchar(10) DEFAULT 'ERROR', "NetName" varchar(35) DEFAULT 'ERROR',
  "Client" text NOT NULL, "Battery" integer NOT NULL DEFAULT -1, "Signal" integer NOT NULL DEFAULT -1, "Sent" integer NOT NULL DEFAULT 0,
  "Received" integer NOT NULL DEFAULT 0, "Send" boolean NOT NULL DEFAULT false, "Receive" boolean NOT NULL DEFAULT false,
  "UpdatedInDB" timestamp(0) NOT NULL DEFAULT LOCALTIMESTAMP(0), "InsertIntoDB" timestamp(0) NOT NULL DEFAULT LOCALTIMESTAMP(0),
  "TimeOut" timestamp(0) NOT NULL DEFAULT LOCALTIMESTAMP(0));

CREATE FUNCTION gammu.update_timestamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW."UpdatedInDB" := LOCALTIMESTAMP(0);
  RETURN NEW;
END $$;
CREATE TRIGGER update_timestamp BEFORE UPDATE ON gammu.sentitems FOR EACH ROW EXECUTE FUNCTION gammu.update_timestamp();

CREATE ROLE gammu LOGIN;
GRANT USAGE ON SCHEMA gammu TO gammu;
GRANT ALL ON ALL TABLES IN SCHEMA gammu TO gammu;
GRANT ALL ON ALL SEQUENCES IN SCHEMA gammu TO gammu;
ALTER ROLE gammu IN DATABASE bank SET search_path = gammu;
